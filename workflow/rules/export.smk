EXPORTS = {"images": "images.zip", "parquet": "train.parquet", "challenge": "challenge.pt"}


rule export:
    input:
        distilled="results/{dataset}/distilled.safetensors",
    output:
        file="results/{dataset}/export/{file}",
    log:
        "logs/{dataset}/export/{file}.log",
    benchmark:
        "logs/{dataset}/export/{file}.tsv"
    wildcard_constraints:
        file="|".join(EXPORTS.values()),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: (
            experiments.as_json(
                protocol=experiment(wildcards).evaluate.protocol,
                challenge_per_class=experiment(wildcards).export.challenge_per_class,
            )
            if wildcards.file == EXPORTS["challenge"]
            else "{}"
        ),
        name=lambda wildcards: next(name for name, file in EXPORTS.items() if file == wildcards.file),
    shell:
        "exec python -m diffdistill.stages.export --config {params.config:q} --threads {threads} --log {log:q}"
        " --in distilled={input.distilled:q} --out {params.name}={output.file:q}"


rule export_card:
    input:
        distilled="results/{dataset}/distilled.safetensors",
        accuracy="results/{dataset}/accuracy.csv",
        baselines="results/{dataset}/baselines.csv",
        audit="results/{dataset}/audit.json",
        files=lambda wildcards: [
            f"results/{wildcards.dataset}/export/{EXPORTS[name]}" for name in experiment(wildcards).export.formats
        ],
    output:
        card="results/{dataset}/export/README.md",
    log:
        "logs/{dataset}/export_card.log",
    benchmark:
        "logs/{dataset}/export_card.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        config=lambda wildcards: experiments.as_json(
            dataset=wildcards.dataset,
            source=experiment(wildcards).source.kind,
            licence=experiment(wildcards).export.licence,
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.export_card --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out card={output.card:q}"
