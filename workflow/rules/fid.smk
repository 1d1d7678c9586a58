rule fid:
    input:
        unpack(inputs("fid")),
    output:
        fid="results/{experiment}/fid/{ema}.json",
    log:
        "logs/{experiment}/fid/{ema}.log",
    benchmark:
        "logs/{experiment}/fid/{ema}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=lambda wildcards: 8000 + 8000 * asked(PLAN.experiment, wildcards).fid_devices,
        runtime=minutes("fid"),
        gpu=shared_gpus("fid", lambda one: one.fid_devices),
    params:
        # a change of it measures again; another number of devices does not
        fingerprint=lambda wildcards: experiments.as_json(asked(PLAN.experiment, wildcards).fid.measurement),
        settings=untracked_settings("fid"),
        launcher=launcher("fid"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("fid", launcher="{params.launcher}")


rule pilot:
    input:
        unpack(inputs("pilot")),
    output:
        pilot="results/{experiment}/pilot/{ema}.{setup}.json",
    log:
        "logs/{experiment}/pilot/{ema}.{setup}.log",
    benchmark:
        "logs/{experiment}/pilot/{ema}.{setup}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=minutes("pilot"),
        gpu=1,
    params:
        settings=settings("pilot"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("pilot")


rule checkpoint:
    input:
        unpack(inputs("checkpoint")),
    output:
        table="results/{experiment}/fid.csv",
        weights="results/{experiment}/checkpoint.safetensors",
        checkpoint="results/{experiment}/checkpoint.json",
    log:
        "logs/{experiment}/checkpoint.log",
    benchmark:
        "logs/{experiment}/checkpoint.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.fid is not None),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=settings("checkpoint"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("checkpoint")


use rule checkpoint as last_checkpoint with:
    output:
        weights="results/{experiment}/checkpoint.safetensors",
        checkpoint="results/{experiment}/checkpoint.json",
    wildcard_constraints:
        experiment=names(lambda one: one.fid is None),
