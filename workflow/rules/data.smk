rule fetch:
    output:
        file="data/raw/{dataset}/{file}",
    log:
        "logs/{dataset}/fetch/{file}.log",
    benchmark:
        "logs/{dataset}/fetch/{file}.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        fingerprint=lambda wildcards: asked(fetch_fingerprint, PLAN, wildcards),
        settings=untracked_settings("fetch"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("fetch")


rule prepare:
    input:
        source=source_files,
    output:
        train="data/{dataset}/train.safetensors",
        validation="data/{dataset}/validation.safetensors",
        test="data/{dataset}/test.safetensors",
        record="data/{dataset}/source.json",
    log:
        "logs/{dataset}/prepare.log",
    benchmark:
        "logs/{dataset}/prepare.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=minutes("prepare"),
    params:
        # a change of this alone runs the job again: where the content lies does not
        deciding=lambda wildcards: asked(sources.state, PLAN, wildcards.dataset).content.deciding,
        settings=untracked_settings("prepare"),
        inputs=lambda wildcards, input: named({"source": source_place(wildcards)}),
        outputs=named_outputs,
    shell:
        stage("prepare")


rule classifier:
    input:
        train="data/{dataset}/train.safetensors",
    output:
        classifier="data/{dataset}/classifier/{key}.safetensors",
    log:
        "logs/{dataset}/classifier/{key}.log",
    benchmark:
        "logs/{dataset}/classifier/{key}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: asked(PLAN.threads, wildcards.dataset)
    resources:
        mem_mb=16000,
        runtime=minutes("classifier"),
        gpu=1,
    params:
        settings=settings("classifier"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("classifier")


rule fid_reference:
    input:
        unpack(inputs("fid_reference")),
    output:
        reference="data/{dataset}/fid_reference/{key}.safetensors",
    log:
        "logs/{dataset}/fid_reference/{key}.log",
    benchmark:
        "logs/{dataset}/fid_reference/{key}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: asked(PLAN.threads, wildcards.dataset)
    resources:
        mem_mb=16000,
        runtime=minutes("fid_reference"),
        gpu=1,
    params:
        settings=settings("fid_reference"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("fid_reference")


rule real_run:
    input:
        train="data/{dataset}/train.safetensors",
        test="data/{dataset}/test.safetensors",
    output:
        accuracy="data/{dataset}/real/{key}.{seed}.json",
    log:
        "logs/{dataset}/real/{key}.{seed}.log",
    benchmark:
        "logs/{dataset}/real/{key}.{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=minutes("real_run"),
        gpu=1,
    params:
        settings=settings("real_run"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("evaluate")


rule real_subset_run:
    input:
        train="data/{dataset}/train.safetensors",
        test="data/{dataset}/test.safetensors",
    output:
        accuracy="data/{dataset}/real/{key}.{per_class}-per-class.{seed}.json",
    log:
        "logs/{dataset}/real/{key}.{per_class}-per-class.{seed}.log",
    benchmark:
        "logs/{dataset}/real/{key}.{per_class}-per-class.{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=1,
    params:
        settings=settings("real_subset_run"),
        inputs=named_inputs,
        outputs=named_outputs,
    shell:
        stage("evaluate")
