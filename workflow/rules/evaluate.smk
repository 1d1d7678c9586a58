rule evaluate:
    input:
        train="results/{dataset}/distilled.safetensors",
        test=split("test"),
    output:
        accuracy="results/{dataset}/accuracy/{seed}.json",
    log:
        "logs/{dataset}/evaluate/{seed}.log",
    benchmark:
        "logs/{dataset}/evaluate/{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
    params:
        config=lambda wildcards: experiments.as_json(
            dataset=wildcards.dataset,
            train_set="distilled",
            protocol=experiment(wildcards).evaluate.protocol,
            seed=int(wildcards.seed),
        ),
    shell:
        "exec python -m diffdistill.stages.evaluate --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} test={input.test:q}"
        " --out accuracy={output.accuracy:q}"


rule baseline:
    input:
        unpack(trained_on),
        test=split("test"),
    output:
        accuracy="results/{dataset}/baseline/{train_set}.{seed}.json",
    log:
        "logs/{dataset}/baseline/{train_set}.{seed}.log",
    benchmark:
        "logs/{dataset}/baseline/{train_set}.{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
    params:
        config=lambda wildcards: experiments.as_json(
            dataset=wildcards.dataset,
            train_set=wildcards.train_set,
            protocol=experiment(wildcards).evaluate.protocol,
            seed=int(wildcards.seed),
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.evaluate --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out accuracy={output.accuracy:q}"


rule accuracy:
    input:
        accuracy=at_seeds("results/{dataset}/accuracy/{seed}.json"),
    output:
        table="results/{dataset}/accuracy.csv",
    log:
        "logs/{dataset}/accuracy.log",
    benchmark:
        "logs/{dataset}/accuracy.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        inputs=lambda wildcards, input: named("accuracy", input.accuracy),
    shell:
        "exec python -m diffdistill.stages.accuracy --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out table={output.table:q}"


use rule accuracy as baselines with:
    input:
        accuracy=lambda wildcards: [
            f"results/{wildcards.dataset}/baseline/{train_set}.{seed}.json"
            for train_set in ("real", "real-random", *experiment(wildcards).drawn_sets)
            for seed in experiment(wildcards).evaluate.seeds
        ],
    output:
        table="results/{dataset}/baselines.csv",
    log:
        "logs/{dataset}/baselines.log",
    benchmark:
        "logs/{dataset}/baselines.tsv"
