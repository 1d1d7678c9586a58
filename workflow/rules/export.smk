rule export:
    input:
        unpack(inputs("export")),
    output:
        file="results/{experiment}/export/{file}",
    log:
        "logs/{experiment}/export/{file}.log",
    benchmark:
        "logs/{experiment}/export/{file}.tsv"
    wildcard_constraints:
        file="|".join(EXPORTS.values()),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=minutes("export"),
    params:
        settings=settings("export"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("export")


rule export_card:
    input:
        unpack(inputs("export_card")),
    output:
        card="results/{experiment}/export/README.md",
        croissant="results/{experiment}/export/croissant.json",
    log:
        "logs/{experiment}/export_card.log",
    benchmark:
        "logs/{experiment}/export_card.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=settings("export_card"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("export_card")
