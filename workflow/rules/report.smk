TABLES = [f"{table}_{ending}" for table in TABLE_NAMES for ending in ("csv", "md", "tex")]
FIGURES = [f"{figure}_{ending}" for figure in figure_names() for ending in ("pdf", "png")]
RESULTS = {
    "accuracy": expand("results/{dataset}/accuracy.csv", dataset=TARGETS),
    "baselines": expand("results/{dataset}/baselines.csv", dataset=TARGETS),
    "fid": expand("results/{dataset}/fid.csv", dataset=TARGETS),
    "budget": expand("results/{dataset}/samples.json", dataset=TARGETS),
    "loss": expand("results/{dataset}/loss.csv", dataset=TARGETS),
}
STUDIED = [name for name in TARGETS if CONFIG.experiment(name).study is not None]
# what the page shows of them: study_digits -> its file
STUDIES = {
    **{f"{table}_{name}": f"results/tables/{table}_{name}.csv" for table in ("study", "findings") for name in STUDIED},
    **{f"study_{name}_png": f"results/figures/study_{name}.png" for name in STUDIED},
}
# what the page alone shows of each: audit_digits_png -> its file
AUDITS = {f"audit_{name}_png": f"results/{name}/audit_pairs.png" for name in TARGETS}
REAL = [f"data/{CONFIG.experiment(name).dataset or name}/train.safetensors" for name in TARGETS]


rule tables:
    input:
        **RESULTS,
        leaderboard="resources/leaderboard.csv",
    output:
        **{name: table_file(name) for name in TABLES},
    log:
        "logs/tables.log",
    benchmark:
        "logs/tables.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        config=experiments_summary(),
        inputs=lambda wildcards, input: all_named(input),
        outputs=lambda wildcards, output: all_named(output),
    shell:
        "exec python -m diffdistill.stages.tables --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out {params.outputs:q}"


rule figures:
    input:
        **RESULTS,
        leaderboard="resources/leaderboard.csv",
        samples=expand("results/{dataset}/samples.safetensors", dataset=TARGETS),
        real=REAL,
    output:
        **{name: figure_file(name) for name in FIGURES if name.endswith("_pdf")},
        **{name: marked_figure(name) for name in FIGURES if name.endswith("_png")},
    log:
        "logs/figures.log",
    benchmark:
        "logs/figures.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        config=experiments_summary(),
        inputs=lambda wildcards, input: all_named(input),
        outputs=lambda wildcards, output: all_named(output),
    shell:
        "exec python -m diffdistill.stages.figures --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out {params.outputs:q}"


rule study_report:
    input:
        study="results/{dataset}/study.csv",
    output:
        **{
            f"{table}_{ending}": f"results/tables/{table}_{{dataset}}.{ending}"
            for table in ("study", "findings")
            for ending in ("csv", "md", "tex")
        },
        figure_pdf="results/figures/study_{dataset}.pdf",
        figure_png=report(
            "results/figures/study_{dataset}.png",
            caption="../report/study.rst",
            category="Figures",
            labels={"figure": "study", "experiment": "{dataset}"},
        ),
    log:
        "logs/{dataset}/study_report.log",
    benchmark:
        "logs/{dataset}/study_report.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        outputs=lambda wildcards, output: all_named(output),
    shell:
        "exec python -m diffdistill.stages.study_report --threads {threads} --log {log:q}"
        " --in study={input.study:q} --out {params.outputs:q}"


rule report:
    input:
        **RESULTS,
        **STUDIES,
        **AUDITS,
        **{name: table_file(name) for name in TABLES if name.endswith("_csv")},
        **{name: figure_file(name) for name in FIGURES if name.endswith("_png")},
        audit=expand("results/{dataset}/audit.json", dataset=TARGETS),
        real=REAL,
    output:
        page=report("results/report.html", caption="../report/report.rst", category="Report"),
        summary="results/summary.txt",
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        config=experiments_summary(),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.report --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out page={output.page:q} summary={output.summary:q}"
