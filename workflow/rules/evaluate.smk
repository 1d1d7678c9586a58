rule evaluate:
    input:
        train="results/{experiment}/distilled.safetensors",
        test=split("test"),
    output:
        accuracy="results/{experiment}/accuracy/{seed}.json",
    log:
        "logs/{experiment}/evaluate/{seed}.log",
    benchmark:
        "logs/{experiment}/evaluate/{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=minutes("evaluate"),
        gpu=1,
    params:
        settings=settings("evaluate"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("evaluate")


rule baseline:
    input:
        unpack(inputs("baseline")),
    output:
        accuracy="results/{experiment}/baseline/{train_set}.{seed}.json",
    log:
        "logs/{experiment}/baseline/{train_set}.{seed}.log",
    benchmark:
        "logs/{experiment}/baseline/{train_set}.{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=minutes("baseline"),
        gpu=1,
    params:
        settings=settings("baseline"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("evaluate")


rule accuracy:
    input:
        unpack(inputs("accuracy")),
    output:
        table="results/{experiment}/accuracy.csv",
    log:
        "logs/{experiment}/accuracy.log",
    benchmark:
        "logs/{experiment}/accuracy.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=settings("accuracy"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("accuracy")


use rule accuracy as baselines with:
    input:
        unpack(inputs("baselines")),
    output:
        table="results/{experiment}/baselines.csv",
    log:
        "logs/{experiment}/baselines.log",
    benchmark:
        "logs/{experiment}/baselines.tsv"
