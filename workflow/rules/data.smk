rule prepare:
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
    shell:
        "exec python -m diffdistill.stages.prepare --config {params.config:q} --threads {threads} --log {log:q}"
        " --out train={output.train:q} validation={output.validation:q} test={output.test:q}"
