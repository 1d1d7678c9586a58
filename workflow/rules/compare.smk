rule measure:
    input:
        unpack(lambda wildcards: asked(comparisons.measure, PLAN, wildcards)),
    output:
        measured="results/{experiment}/measured.json",
    log:
        "logs/{experiment}/measure.log",
    benchmark:
        "logs/{experiment}/measure.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    params:
        settings=settings("measure"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("measure")


rule comparison_settings:
    input:
        files=compared_files,
    output:
        settings="results/comparisons/{comparison}/settings.json",
    log:
        "logs/comparisons/{comparison}/settings.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: experiments.as_json(
            asked(comparisons.comparison, PLAN, wildcards.comparison), sort_keys=False
        ),
    run:
        files.write_text(output.settings, f"{params.settings}\n")


rule comparison:
    input:
        settings="results/comparisons/{comparison}/settings.json",
        files=compared_files,
    output:
        csv="results/comparisons/{comparison}/comparison.csv",
        md="results/comparisons/{comparison}/comparison.md",
        tex="results/comparisons/{comparison}/comparison.tex",
        pdf="results/comparisons/{comparison}/comparison.pdf",
        png="results/comparisons/{comparison}/comparison.png",
        page=report(
            "results/comparisons/{comparison}/comparison.html",
            caption="../report/report.rst",
            category="Comparison",
        ),
    log:
        "logs/comparisons/{comparison}/comparison.log",
    benchmark:
        "logs/comparisons/{comparison}/comparison.tsv"
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
        stage("comparison", settings="--settings-file {input.settings:q}")
