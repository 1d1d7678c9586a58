rule tune:
    input:
        unpack(inputs("tune")),
    output:
        weights="results/{experiment}/tuned.safetensors",
    log:
        "logs/{experiment}/tune.log",
    benchmark:
        "logs/{experiment}/tune.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=720,
        gpu=1,
    params:
        settings=settings("tune"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("tune")


rule sample:
    input:
        unpack(inputs("sample")),
    output:
        samples="results/{experiment}/samples.safetensors",
        account="results/{experiment}/samples.json",
    log:
        "logs/{experiment}/sample.log",
    benchmark:
        "logs/{experiment}/sample.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.trains),
    conda:
        "../../envs/environment.yaml"
    threads: workflow.resource_settings.cores or 8  # the budget counts seconds: nothing else may run beside it
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    params:
        settings=settings("sample"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("sample")


rule selection:
    input:
        unpack(inputs("selection")),
        samples="results/{experiment}/samples.safetensors",
    output:
        distilled="results/{experiment}/distilled.safetensors",
    log:
        "logs/{experiment}/selection.log",
    benchmark:
        "logs/{experiment}/selection.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.refine is None),
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    params:
        settings=settings("selection"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("selection")
