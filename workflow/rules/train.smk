rule train:
    input:
        train=split("train"),
        before=slice_before,
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
        mem_mb=16000,
        runtime=720,
    params:
        config=lambda wildcards: experiments.as_json(
            model=experiment(wildcards).model,
            train=experiment(wildcards).train,
            every=experiment(wildcards).fid.every,
            until=int(wildcards.step),
        ),
        before=lambda wildcards, input: named("before", input.before),
    shell:
        "exec python -m diffdistill.stages.train --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} {params.before:q} --out state={output.state:q}"


rule weights:
    input:
        state=lambda wildcards: (
            f"results/{wildcards.dataset}/train/{experiment(wildcards).slice_of(int(wildcards.step))}.safetensors"
        ),
    output:
        weights="results/{dataset}/weights/{step}.safetensors",
    log:
        "logs/{dataset}/weights/{step}.log",
    benchmark:
        "logs/{dataset}/weights/{step}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        config=lambda wildcards: experiments.as_json(step=int(wildcards.step)),
    shell:
        "exec python -m diffdistill.stages.weights --config {params.config:q} --threads {threads} --log {log:q}"
        " --in state={input.state:q} --out weights={output.weights:q}"


rule history:
    input:
        states=at_steps("results/{dataset}/train/{step}.safetensors", "slice_ends"),
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
