rule audit:
    input:
        distilled="results/{dataset}/distilled.safetensors",
        train=split("train"),
        validation=split("validation"),
        weights="results/{dataset}/chosen.safetensors",
        features="results/{dataset}/fid/features.safetensors",
    output:
        audit="results/{dataset}/audit.json",
        pairs="results/{dataset}/audit_pairs.png",
    log:
        "logs/{dataset}/audit.log",
    benchmark:
        "logs/{dataset}/audit.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        config=lambda wildcards: experiments.as_json(experiment(wildcards).audit),
    shell:
        "exec python -m diffdistill.stages.audit --config {params.config:q} --threads {threads} --log {log:q}"
        " --in distilled={input.distilled:q} train={input.train:q} validation={input.validation:q}"
        " weights={input.weights:q} features={input.features:q}"
        " --out audit={output.audit:q} pairs={output.pairs:q}"
