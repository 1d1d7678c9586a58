rule subclasses:
    input:
        train=split("train"),
        features="results/{dataset}/fid/features.safetensors",
    output:
        subclasses="results/{dataset}/subclasses.safetensors",
    log:
        "logs/{dataset}/subclasses.log",
    benchmark:
        "logs/{dataset}/subclasses.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(
            subclasses=experiment(wildcards).train.subclasses,
            seed=experiment(wildcards).train.seed,
        ),
    shell:
        "exec python -m diffdistill.stages.subclasses --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} features={input.features:q} --out subclasses={output.subclasses:q}"


rule train:
    input:
        train=split("train"),
        before=slice_before,
        subclasses=divided_classes,
        start=lambda wildcards: (
            [] if slice_before(wildcards) else experiment(wildcards).train.start_file(wildcards.dataset) or []
        ),
    output:
        state="results/{dataset}/train/{step}.safetensors",
    log:
        "logs/{dataset}/train/{step}.log",
    benchmark:
        "logs/{dataset}/train/{step}.tsv"
    priority: 1  # the longest chain of jobs: what else can run goes beside it
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=lambda wildcards: 8000 + 8000 * experiment(wildcards).train.devices,
        runtime=720,
        gpu=lambda wildcards: experiment(wildcards).train.devices,
    params:
        # a change of these retrains; of what Snakemake counts as derived, because it asks for threads, it does not
        fingerprint=lambda wildcards: experiments.as_json(
            model=experiment(wildcards).model,
            train=str(experiment(wildcards).train.fingerprint()),
            every=experiment(wildcards).fid.every,
            start=experiment(wildcards).train.start_file(wildcards.dataset),
        ),
        config=lambda wildcards, threads: experiments.as_json(
            model=experiment(wildcards).model,
            train=experiment(wildcards).train,
            every=experiment(wildcards).fid.every,
            until=int(wildcards.step),
        ),
        launcher=lambda wildcards, threads: (
            f"-m diffdistill.runtime.processes {experiment(wildcards).train.devices}"
            if experiment(wildcards).train.devices > 1
            else "-m"
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python {params.launcher} diffdistill.stages.train --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out state={output.state:q}"


rule weights:
    input:
        state=lambda wildcards: (
            f"results/{wildcards.dataset}/train/"
            f"{experiment(wildcards).slice_of(average(wildcards)['step'])}.safetensors"
        ),
    output:
        weights="results/{dataset}/weights/{average}.safetensors",
    log:
        "logs/{dataset}/weights/{average}.log",
    benchmark:
        "logs/{dataset}/weights/{average}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        config=lambda wildcards: experiments.as_json(**average(wildcards)),
    shell:
        "exec python -m diffdistill.stages.weights --config {params.config:q} --threads {threads} --log {log:q}"
        " --in state={input.state:q} --out weights={output.weights:q}"


rule history:
    input:
        states=states,
    output:
        table="results/{dataset}/loss.csv",
    log:
        "logs/{dataset}/history.log",
    benchmark:
        "logs/{dataset}/history.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        states=lambda wildcards, input: named("states", input.states),
    shell:
        "exec python -m diffdistill.stages.history --threads {threads} --log {log:q}"
        " --in {params.states:q} --out table={output.table:q}"
