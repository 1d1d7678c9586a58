rule audit:
    input:
        unpack(inputs("audit")),
    output:
        audit="results/{experiment}/audit.json",
        pairs="results/{experiment}/audit_pairs.png",
    log:
        "logs/{experiment}/audit.log",
    benchmark:
        "logs/{experiment}/audit.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=minutes("audit"),
        gpu=1,
    params:
        settings=settings("audit"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("audit")
