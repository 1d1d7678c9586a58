rule fid_features:
    input:
        train=split("train"),
    output:
        features="results/{dataset}/fid/features.safetensors",
    log:
        "logs/{dataset}/fid_features.log",
    benchmark:
        "logs/{dataset}/fid_features.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(
            classifier=experiment(wildcards).classifier,
            seed=experiment(wildcards).fid.seed,
        ),
    shell:
        "exec python -m diffdistill.stages.fid_features --config {params.config:q} --threads {threads} --log {log:q}"
        " --in train={input.train:q} --out features={output.features:q}"


rule fid_reference:
    input:
        train=split("train"),
        features=features_of,
        classifier=classifier_of,
        validation=where_classes_are_measured(split("validation")),
    output:
        reference="results/{dataset}/fid/reference.safetensors",
    log:
        "logs/{dataset}/fid_reference.log",
    benchmark:
        "logs/{dataset}/fid_reference.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        config=lambda wildcards: experiments.as_json(features=experiment(wildcards).fid.features),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.fid_reference --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out reference={output.reference:q}"


rule fid:
    input:
        weights="results/{dataset}/weights/{average}.safetensors",
        features=features_of,
        classifier=classifier_of,
        reference="results/{dataset}/fid/reference.safetensors",
    output:
        fid="results/{dataset}/fid/{average}.json",
    log:
        "logs/{dataset}/fid/{average}.log",
    benchmark:
        "logs/{dataset}/fid/{average}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=lambda wildcards: 8000 + 8000 * experiment(wildcards).fid_devices,
        runtime=120,
        gpu=lambda wildcards: experiment(wildcards).fid_devices,
    params:
        # a change of these measures anew, another number of devices does not, as in train
        fingerprint=lambda wildcards: experiments.as_json(experiment(wildcards).fid.measurement),
        config=lambda wildcards, threads: experiments.as_json(
            experiment(wildcards).fid.measurement,
            devices=experiment(wildcards).fid_devices,
        ),
        launcher=lambda wildcards, threads: (
            f"-m diffdistill.runtime.processes {experiment(wildcards).fid_devices}"
            if experiment(wildcards).fid_devices > 1
            else "-m"
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python {params.launcher} diffdistill.stages.fid --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out fid={output.fid:q}"


rule pilot:
    input:
        weights="results/{dataset}/weights/{average}.safetensors",
        validation=split("validation"),
        guide=lambda wildcards: guides_of(wildcards, [draw_of(wildcards).guidance]),
        classifier=lambda wildcards: (
            own_classifier(wildcards)
            if (select := draw_of(wildcards).select) is not None and select.needs_classifier
            else []
        ),
    output:
        pilot="results/{dataset}/pilot/{average}.{draw}.json",
    log:
        "logs/{dataset}/pilot/{average}.{draw}.log",
    benchmark:
        "logs/{dataset}/pilot/{average}.{draw}.tsv"
    wildcard_constraints:
        draw=r"\d+",
    conda:
        "../../envs/environment.yaml"
    threads: lambda wildcards: experiment(wildcards).threads
    resources:
        mem_mb=16000,
        runtime=240,
    params:
        config=lambda wildcards: experiments.as_json(
            draw=draw_of(wildcards),
            evaluations=experiment(wildcards).choose.images * experiment(wildcards).sample.solver.steps,
            batch_size=experiment(wildcards).choose.batch_size,
            seed=experiment(wildcards).choose.seed,
            protocol=experiment(wildcards).pilot_protocol,
            seeds=experiment(wildcards).choose.seeds,
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.pilot --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q} --out pilot={output.pilot:q}"


rule choose:
    input:
        fid=at_averages("results/{dataset}/fid/{average}.json"),
        pilot=pilots,
        weights=at_averages("results/{dataset}/weights/{average}.safetensors"),
    output:
        table="results/{dataset}/fid.csv",
        chosen="results/{dataset}/chosen.json",
        weights="results/{dataset}/chosen.safetensors",
    log:
        "logs/{dataset}/choose.log",
    benchmark:
        "logs/{dataset}/choose.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=lambda wildcards: experiments.as_json(
            by=experiment(wildcards).choose.by, draws=experiment(wildcards).choose.draws
        ),
        inputs=lambda wildcards, input: all_named(input),
    shell:
        "exec python -m diffdistill.stages.choose --config {params.config:q} --threads {threads} --log {log:q}"
        " --in {params.inputs:q}"
        " --out table={output.table:q} chosen={output.chosen:q} weights={output.weights:q}"
