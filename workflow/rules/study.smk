rule study_run:
    input:
        unpack(studied_beside),
        train=studied_set,
        test=split("test"),
    output:
        accuracy="results/{dataset}/study/{run}/{seed}.json",
    log:
        "logs/{dataset}/study/{run}/{seed}.log",
    benchmark:
        "logs/{dataset}/study/{run}/{seed}.tsv"
    wildcard_constraints:
        run=r"[a-z0-9._-]+",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=720,
    params:
        config=lambda wildcards: experiments.as_json(
            dataset=wildcards.dataset,
            protocol=experiment(wildcards).evaluate.protocol,
            run=study_run(wildcards),
            seed=int(wildcards.seed),
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.study_run --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out accuracy={output.accuracy:q}"


rule study:
    input:
        distilled="results/{dataset}/distilled.safetensors",
        main=at_seeds("results/{dataset}/accuracy/{seed}.json"),
        baselines=rules.baselines.input.accuracy,
        runs=lambda wildcards: [
            f"results/{wildcards.dataset}/study/{run}/{seed}.json"
            for run in study_runs(wildcards)
            for seed in experiment(wildcards).evaluate.seeds
        ],
    output:
        table="results/{dataset}/study.csv",
    log:
        "logs/{dataset}/study.log",
    benchmark:
        "logs/{dataset}/study.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.study --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out table={output.table:q}"


rule round_settings:
    input:
        account="results/{dataset}/samples.json",
    output:
        settings="results/{dataset}/rounds/{round}/settings.json",
    log:
        "logs/{dataset}/rounds/{round}/settings.log",
    benchmark:
        "logs/{dataset}/rounds/{round}/settings.tsv"
    wildcard_constraints:
        round=r"[1-9]\d*",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=lambda wildcards: experiments.as_json(sample=experiment(wildcards).sample, round=int(wildcards.round)),
    shell:
        "exec python -m diffdistill.stages.round_settings --config {params.config:q} --threads {threads} --log {log:q}"
        " --in account={input.account:q} --out settings={output.settings:q}"


rule round_sample:
    input:
        unpack(drawn_with),
        settings="results/{dataset}/rounds/{round}/settings.json",
    output:
        samples="results/{dataset}/rounds/{round}/samples.safetensors",
        account="results/{dataset}/rounds/{round}/samples.json",
    log:
        "logs/{dataset}/rounds/{round}/sample.log",
    benchmark:
        "logs/{dataset}/rounds/{round}/sample.tsv"
    wildcard_constraints:
        round=r"[1-9]\d*",
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        inputs=lambda wildcards, input: [pair for pair in all_named(input) if not pair.startswith("settings=")],
    shell:
        'exec python -m diffdistill.stages.sample --config "$(cat {input.settings:q})" --threads {threads} --log {log:q}'
        " --in {params.inputs:q} --out samples={output.samples:q} account={output.account:q}"


use rule selection as round_selection with:
    input:
        unpack(selected_with),
        samples="results/{dataset}/rounds/{round}/samples.safetensors",
    output:
        distilled="results/{dataset}/rounds/{round}/distilled.safetensors",
    log:
        "logs/{dataset}/rounds/{round}/selection.log",
    benchmark:
        "logs/{dataset}/rounds/{round}/selection.tsv"
    wildcard_constraints:
        round=r"[1-9]\d*",
