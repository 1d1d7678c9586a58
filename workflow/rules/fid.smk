rule fid_features:
    input:
        train=split("train"),
    output:
        features="results/{dataset}/fid/features.safetensors",
    log:
        "logs/{dataset}/fid_features.log",
    benchmark:
        "logs/{dataset}/fid_features.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(
            classifier=experiment(wildcards).classifier,
            seed=experiment(wildcards).fid.seed,
        ),
    shell:
        "exec python -m diffdistill.stages.fid_features --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} --out features={output.features:q}"


rule fid_reference:
    input:
        train=split("train"),
        features=features_of,
    output:
        reference="results/{dataset}/fid/reference.safetensors",
    log:
        "logs/{dataset}/fid_reference.log",
    benchmark:
        "logs/{dataset}/fid_reference.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(features=experiment(wildcards).fid.features),
    shell:
        "exec python -m diffdistill.stages.fid_reference --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} features={input.features:q} --out reference={output.reference:q}"


rule fid:
    input:
        weights="results/{dataset}/weights/{step}.safetensors",
        features=features_of,
        reference="results/{dataset}/fid/reference.safetensors",
    output:
        fid="results/{dataset}/fid/{step}.json",
    log:
        "logs/{dataset}/fid/{step}.log",
    benchmark:
        "logs/{dataset}/fid/{step}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        config=lambda wildcards: experiments.as_json(
            solver=experiment(wildcards).fid.solver,
            images=experiment(wildcards).fid.images,
            batch_size=experiment(wildcards).fid.batch_size,
            seed=experiment(wildcards).fid.seed,
        ),
    shell:
        "exec python -m diffdistill.stages.fid --config {params.config:q} --threads {threads} --log {log:q}"
        " --in weights={input.weights:q} features={input.features:q} reference={input.reference:q}"
        " --out fid={output.fid:q}"


rule choose:
    input:
        fid=at_steps("results/{dataset}/fid/{step}.json", "fid_steps"),
        weights=at_steps("results/{dataset}/weights/{step}.safetensors", "fid_steps"),
    output:
        table="results/{dataset}/fid.csv",
        chosen="results/{dataset}/chosen.json",
        weights="results/{dataset}/chosen.safetensors",
    log:
        "logs/{dataset}/choose.log",
    benchmark:
        "logs/{dataset}/choose.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        inputs=lambda wildcards, input: named("fid", input.fid) + named("weights", input.weights),
    shell:
        "exec python -m diffdistill.stages.choose --threads {threads} --log {log:q} --in {params.inputs:q}"
        " --out table={output.table:q} chosen={output.chosen:q} weights={output.weights:q}"
