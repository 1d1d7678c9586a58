rule study_run:
    input:
        unpack(inputs("study_run")),
    output:
        accuracy="results/{experiment}/study/{run}/{seed}.json",
    log:
        "logs/{experiment}/study/{run}/{seed}.log",
    benchmark:
        "logs/{experiment}/study/{run}/{seed}.tsv"
    wildcard_constraints:
        run=r"[a-z0-9._-]+",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=minutes("study_run"),
        gpu=1,
    params:
        settings=settings("study_run"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("study_run")


rule study:
    input:
        unpack(inputs("study")),
    output:
        table="results/{experiment}/study.csv",
    log:
        "logs/{experiment}/study.log",
    benchmark:
        "logs/{experiment}/study.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=settings("study"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("study")


rule resampling_settings:
    input:
        account="results/{experiment}/samples.json",
    output:
        settings="results/{experiment}/resampling/{resampling}/settings.json",
    log:
        "logs/{experiment}/resampling/{resampling}/settings.log",
    benchmark:
        "logs/{experiment}/resampling/{resampling}/settings.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=settings("resampling_settings"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("resampling_settings")


rule resample:
    input:
        unpack(inputs("sample")),
        settings="results/{experiment}/resampling/{resampling}/settings.json",
    output:
        samples="results/{experiment}/resampling/{resampling}/samples.safetensors",
        account="results/{experiment}/resampling/{resampling}/samples.json",
    log:
        "logs/{experiment}/resampling/{resampling}/sample.log",
    benchmark:
        "logs/{experiment}/resampling/{resampling}/sample.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=minutes("resample"),
        gpu=1,
    params:
        inputs=lambda wildcards, input: named(inputs("sample")(wildcards)),
        outputs=named_outputs,
    shell:
        stage("sample", settings="--settings-file {input.settings:q}")


use rule selection as reselect with:
    input:
        unpack(inputs("selection")),
        samples="results/{experiment}/resampling/{resampling}/samples.safetensors",
    output:
        distilled="results/{experiment}/resampling/{resampling}/distilled.safetensors",
    log:
        "logs/{experiment}/resampling/{resampling}/selection.log",
    benchmark:
        "logs/{experiment}/resampling/{resampling}/selection.tsv"
