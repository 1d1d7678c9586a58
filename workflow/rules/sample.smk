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
        runtime=minutes("tune"),
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
        experiment=names(lambda one: one.sampling_rule == "sample"),
    conda:
        "../../envs/environment.yaml"
    threads: workflow.resource_settings.cores or 8  # the budget counts seconds: nothing else may run beside it
    resources:
        mem_mb=16000,
        runtime=minutes("sample"),
        gpu=1,
    params:
        settings=settings("sample"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("sample")


rule generate:
    input:
        unpack(inputs("generate")),
    output:
        samples="results/{experiment}/samples.safetensors",
        account="results/{experiment}/samples.json",
    log:
        "logs/{experiment}/generate.log",
    benchmark:
        "logs/{experiment}/generate.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.sampling_rule == "generate"),
    conda:
        "../../envs/environment.yaml"
    threads: workflow.resource_settings.cores or 8  # as for sample
    resources:
        mem_mb=16000,
        runtime=minutes("generate"),
        gpu=1,
    params:
        # what the date of the path does not tell
        fingerprint=lambda wildcards: asked(generators.fingerprint, PLAN, wildcards),
        settings=settings("generate"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("generate")


rule import_set:
    input:
        unpack(inputs("import_set")),
    output:
        samples="results/{experiment}/samples.safetensors",
        account="results/{experiment}/samples.json",
    log:
        "logs/{experiment}/import_set.log",
    benchmark:
        "logs/{experiment}/import_set.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.sampling_rule == "import_set"),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=minutes("import_set"),
    params:
        # what the date of the path does not tell
        fingerprint=lambda wildcards: asked(generators.fingerprint, PLAN, wildcards),
        settings=settings("import_set"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("import_set")


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
        runtime=minutes("selection"),
        gpu=1,
    params:
        settings=settings("selection"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("selection")
