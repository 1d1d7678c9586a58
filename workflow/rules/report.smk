rule report_settings:
    input:
        files=reported_files,
    output:
        settings="results/reports/{report}/settings.json",
    log:
        "logs/reports/{report}/settings.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # through a file: an argument of a command cannot hold the settings of hundreds of experiments
        settings=lambda wildcards: experiments.as_json(
            asked(reports.report, PLAN, wildcards.report, LEADERBOARD), sort_keys=False
        ),
    run:
        files.write_text(Path(output.settings), params.settings + "\n")


rule tables:
    input:
        settings="results/reports/{report}/settings.json",
        files=reported_files,
    output:
        folder=directory("results/reports/{report}/tables"),
    log:
        "logs/reports/{report}/tables.log",
    benchmark:
        "logs/reports/{report}/tables.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        inputs=[],
        outputs=named_outputs,
    shell:
        stage("tables", settings="--settings-file {input.settings:q}")


rule figures:
    input:
        settings="results/reports/{report}/settings.json",
        files=reported_files,
    output:
        folder=report(
            directory("results/reports/{report}/figures"),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"report": "{report}", "figure": "{figure}"},
        ),
    log:
        "logs/reports/{report}/figures.log",
    benchmark:
        "logs/reports/{report}/figures.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        inputs=[],
        outputs=named_outputs,
    shell:
        stage("figures", settings="--settings-file {input.settings:q}")


rule report:
    input:
        settings="results/reports/{report}/settings.json",
        tables="results/reports/{report}/tables",
        figures="results/reports/{report}/figures",
        files=reported_files,
    output:
        page=report("results/reports/{report}/report.html", caption="../report/report.rst", category="Report"),
        summary="results/reports/{report}/summary.txt",
    log:
        "logs/reports/{report}/report.log",
    benchmark:
        "logs/reports/{report}/report.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        inputs=lambda wildcards, input: named({"tables": input.tables, "figures": input.figures}),
        outputs=named_outputs,
    shell:
        stage("report", settings="--settings-file {input.settings:q}")
