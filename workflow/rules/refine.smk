use rule selection as select_start with:
    output:
        distilled="results/{experiment}/selected.safetensors",
    wildcard_constraints:
        experiment=names(lambda one: one.refine is not None),


rule refine:
    input:
        unpack(inputs("refine")),
    output:
        refined="results/{experiment}/distilled.safetensors",
        account="results/{experiment}/refined.json",
        pictures="results/{experiment}/refined.png",
    log:
        "logs/{experiment}/refine.log",
    benchmark:
        "logs/{experiment}/refine.tsv"
    wildcard_constraints:
        experiment=names(lambda one: one.refine is not None),
    conda:
        "../../envs/environment.yaml"
    threads: experiment_threads
    resources:
        mem_mb=16000,
        runtime=minutes("refine"),
        gpu=1,
    params:
        settings=settings("refine"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("refine")
