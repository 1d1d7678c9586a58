rule tune:
    input:
        weights="results/{dataset}/chosen.safetensors",
        train=split("train"),
        subclasses=divided_classes,
    output:
        weights="results/{dataset}/tuned.safetensors",
    log:
        "logs/{dataset}/tune.log",
    benchmark:
        "logs/{dataset}/tune.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=720,
    params:
        config=lambda wildcards: experiments.as_json(
            tune=experiment(wildcards).tune,
            flip=experiment(wildcards).train.flip,
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.tune --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out weights={output.weights:q}"


rule sample:
    input:
        unpack(drawn_with),
    output:
        samples="results/{dataset}/samples.safetensors",
        account="results/{dataset}/samples.json",
    log:
        "logs/{dataset}/sample.log",
    benchmark:
        "logs/{dataset}/sample.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: workflow.resource_settings.cores or 8  # the budget counts seconds: nothing else may run beside it
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(experiment(wildcards).sample),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.sample --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q}"
        " --out samples={output.samples:q} account={output.account:q}"


rule selection:
    input:
        unpack(selected_with),
        samples="results/{dataset}/samples.safetensors",
    output:
        distilled="results/{dataset}/distilled.safetensors",
    log:
        "logs/{dataset}/selection.log",
    benchmark:
        "logs/{dataset}/selection.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(experiment(wildcards).select),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.selection --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out distilled={output.distilled:q}"
