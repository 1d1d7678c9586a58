rule fetch:
    output:
        file="data/raw/{dataset}/{file}",
    log:
        "logs/{dataset}/fetch/{file}.log",
    benchmark:
        "logs/{dataset}/fetch/{file}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        config=lambda wildcards: experiments.as_json(**download_of(wildcards)),
    shell:
        "exec python -m diffdistill.stages.fetch --config {params.config:q} --threads {threads} --log {log:q}"
        " --out file={output.file:q}"


rule prepare:
    input:
        source=lambda wildcards: source_of(wildcards).file(wildcards.dataset) or [],
    output:
        train="data/{dataset}/train.safetensors",
        validation="data/{dataset}/validation.safetensors",
        test="data/{dataset}/test.safetensors",
    log:
        "logs/{dataset}/prepare.log",
    benchmark:
        "logs/{dataset}/prepare.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(source_of(wildcards)),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.prepare --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q}"
        " --out train={output.train:q} validation={output.validation:q} test={output.test:q}"
