rule subclasses:
    input:
        unpack(inputs("subclasses")),
    output:
        subclasses="results/{experiment}/subclasses.safetensors",
    log:
        "logs/{experiment}/subclasses.log",
    benchmark:
        "logs/{experiment}/subclasses.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=minutes("subclasses"),
        gpu=1,
    params:
        settings=settings("subclasses"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("subclasses")


rule train:
    input:
        unpack(inputs("train")),
    output:
        state="results/{experiment}/train/{step}.safetensors",
    log:
        "logs/{experiment}/train/{step}.log",
    benchmark:
        "logs/{experiment}/train/{step}.tsv"
    priority: 1  # the longest chain of jobs: other jobs run beside it
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        # of each node
        mem_mb=lambda wildcards: 8000 + 8000 * asked(PLAN.experiment, wildcards).train.devices_on_node,
        runtime=minutes("train"),
        gpu=shared_gpus("train", lambda one: one.train.devices),
        nodes=lambda wildcards: asked(PLAN.experiment, wildcards).train.nodes,
        # how SLURM's plugin is told that the job starts srun itself, one task a node; None: it starts the job
        mpi=on_nodes(lambda train: "srun"),
        tasks=on_nodes(lambda train: train.nodes),
        tasks_per_gpu=on_nodes(lambda train: 0),
        slurm_extra=on_nodes(lambda train: f"--gpus-per-node={train.devices_per_node}"),
    params:
        fingerprint=lambda wildcards: asked(train_fingerprint, PLAN, wildcards),  # a change of it retrains
        settings=untracked_settings("train"),
        launcher=launcher("train"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("train", launcher="{params.launcher}")


rule weights:
    input:
        unpack(inputs("weights")),
    output:
        weights="results/{experiment}/weights/{ema}.safetensors",
    log:
        "logs/{experiment}/weights/{ema}.log",
    benchmark:
        "logs/{experiment}/weights/{ema}.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=settings("weights"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("weights")


rule history:
    input:
        unpack(inputs("history")),
    output:
        table="results/{experiment}/loss.csv",
    log:
        "logs/{experiment}/history.log",
    benchmark:
        "logs/{experiment}/history.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=settings("history"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("history")
