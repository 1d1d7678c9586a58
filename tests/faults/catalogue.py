"""The kinds of faults, where each was publicly reported, tests elsewhere that prove one, and the table of them all."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from tests.faults import Fault

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/faults.md"

REPORTS = {
    "F01": ("Images reshuffled in their file", ["safetensors/safetensors#825", "MinishLab/model2vec#341"]),
    "F02": ("Labels that belong to other images", ["tjmoon0104/pytorch-tiny-imagenet#4", "Continvvm/continuum#222"]),
    "F03": ("Two orders of the same classes", ["LINs-lab/RDED#10", "modestyachts/ImageNetV2#4"]),
    "F04": ("Normalised twice, or not at all", ["GeorgeCazenavette/mtt-distillation#11", "openai/guided-diffusion#56"]),
    "F05": ("The test set takes part in a choice", ["GeorgeCazenavette/mtt-distillation#23", "DonaldRR/SimpleNet#7"]),
    "F06": ("Averaged weights get into training", ["huggingface/diffusers#2321", "facebookresearch/DiT#35"]),
    "F07": ("The average still holds the first weights", ["ultralytics/yolov5#4389", "apple/axlearn#1"]),
    "F08": ("Processes see the same data or noise", ["NVlabs/LongLive#71", "pytorch/pytorch#5059"]),
    "F09": (
        "The batch of a device for the whole one",
        ["facebookresearch/flow_matching#68", "facebookresearch/fastMRI#55"],
    ),
    "F10": ("The learning rate runs too fast or jumps", ["huggingface/diffusers#3954", "huggingface/accelerate#662"]),
    "F11": ("Results of different settings are mixed", ["snakemake/snakemake#3234"]),
    "F12": ("Distances of different kinds compared", ["baofff/U-ViT#14", "NVlabs/edm#16"]),
    "F13": ("A distance that is no number", ["mseitzer/pytorch-fid#13", "bioinf-jku/TTUR#4"]),
    "F14": ("Reference statistics of other images", ["baofff/U-ViT#29", "bioinf-jku/TTUR#13"]),
    "F15": ("Floats become wrong bytes", ["mseitzer/pytorch-fid#63", "DPS2022/diffusion-posterior-sampling#5"]),
    "F16": ("Features that depend on the batch", ["Lightning-AI/torchmetrics#1620", "pytorch/ignite#2423"]),
    "F17": ("Start weights loaded in part", ["ajbrock/BigGAN-PyTorch#32", "karpathy/nanoGPT#325"]),
    "F18": ("Untested branches of the solver", ["LuChengTHU/dpm-solver#44", "huggingface/diffusers#9007"]),
    "F19": ("Solver and network disagree about time", ["LuChengTHU/dpm-solver#22", "LuChengTHU/dpm-solver#36"]),
    "F20": (
        "An image depends on batch or device",
        ["AUTOMATIC1111/stable-diffusion-webui#376", "huggingface/diffusers#6222"],
    ),
    "F21": ("The evaluation is not the one described", ["VICO-UoE/DatasetCondensation#5", "NUS-HPC-AI-Lab/DATM#17"]),
    "F22": ("Not a number, trained on and saved", ["mit-han-lab/efficientvit#110", "LTH14/mar#29"]),
    "F23": ("Half a file", ["sml2h3/dddd_trainer#36", "pnnl/hundo#16"]),
    "F24": ("The signal to stop is not heard", ["snakemake/snakemake-executor-plugin-slurm#242"]),
    "F25": ("The failed attempt's log is gone", ["snakemake/snakemake#122", "snakemake/snakemake#1871"]),
    "F26": ("Tables and times after a restart", ["roboflow/rf-detr#1321", "DeepLabCut/DeepLabCut#3183"]),
    "F27": (
        "Other devices than were asked for",
        ["snakemake/snakemake-executor-plugin-slurm#316", "vllm-project/vllm#41848"],
    ),
    "F28": (
        "The scheduler, or memory, gives out",
        ["snakemake/snakemake-executor-plugin-slurm#38", "snakemake/snakemake#453"],
    ),
    "F29": ("Neighbours on one machine", ["TorchDR/TorchDR#249", "pytorch/pytorch#64864"]),
    "F30": ("File systems that refuse", ["snakemake/snakemake#39", "safetensors/safetensors#195"]),
    "F31": ("Downloads", ["pytorch/vision#2992", "mseitzer/pytorch-fid#99"]),
    "F32": ("Settings that are understood otherwise", ["snakemake/snakemake#3907", "snakemake/snakemake#963"]),
    "F33": ("Odd picture files and names", ["pytorch/vision#138", "GaParmar/clean-fid#4"]),
    "F34": ("Data that runs code or writes elsewhere", ["pytorch/vision#9517", "Megvii-BaseDetection/YOLOX#1906"]),
    "F50": ("Splits are taken for classes", ["fastai/fastai#1552", "roboflow/roboflow-python#153"]),
    "F51": ("A class that was never seen", ["pytorch/vision#2630", "tensorflow/datasets#2579"]),
    "F52": (
        "Changed data go unnoticed, or equal data are trained on again",
        ["snakemake/snakemake#2011", "LCR-BCCRC/lcr-modules#30"],
    ),
    "F53": ("Levels that fill a part of their range", ["mr7495/COVID-CTset#3", "danforthcenter/plantcv#1804"]),
    "F54": ("Names that print alike", ["Garmelon/PFERD#141", "python/cpython#91036"]),
    "G01": ("Nothing is done, and that is called success", ["snakemake/snakemake#2773", "snakemake/snakemake#2056"]),
    "G05": ("The page shows settings that made nothing of it", ["PyPSA/pypsa-eur#953"]),
    "G07": ("Readings of the command line decide what is made", ["khanlab/snakebids#265"]),
    "G08": ("YAML that is read otherwise than written", ["rbgirshick/yacs#17"]),
    "G09": ("A copied folder runs another one's code", ["pypa/pipenv#1752"]),
    "G12": ("Cleaning up removes the user's files", ["hackalog/easydata#143"]),
    "G13": ("Jobs are killed at a limit that they cannot keep", ["harvardinformatics/snparcher#227"]),
    "G14": ("File systems without locks", ["tox-dev/filelock#67", "python-poetry/poetry#8825"]),
    "G15": ("File systems without a flush", ["untitaker/python-atomicwrites#27", "borgbackup/borg#1287"]),
    "G16": ("Classes of unequal size", ["ichbill/LTDD#6"]),
    "G17": ("Fewer images than classes", ["POSTECH-CVLab/PyTorch-StudioGAN#43"]),
    "G18": ("An environment per rule", ["snakemake/snakemake#3467", "snakemake/snakemake#2331"]),
    "G19": ("Installing on another machine, or again", ["OpenHands/OpenHands#638"]),
    "G20": ("More targets than a command line holds", ["NBChub/bgcflow#229"]),
    "G21": (
        "Names that are read as numbers or as nothing",
        ["snakemake-workflows/dna-seq-varlociraptor#360", "OasisLMF/OasisLMF#307"],
    ),
    "G22": ("The user's environment changes results", ["deeptools/deepTools#1416", "ACCarnall/bagpipes#14"]),
    "G23": ("Deployment methods that bring no interpreter", ["snakemake-workflows/dna-seq-gatk-variant-calling#18"]),
    "G24": ("Files of the workflow are not found from elsewhere", ["snakemake/snakemake#3025", "Wytamma/snk#97"]),
    "G25": ("More jobs than there are GPUs", ["snakemake/snakemake#3711"]),
    "F35": ("A dependency moves", ["huggingface/pytorch-image-models#1802", "facebookresearch/NeuralCompression#217"]),
}
"""Each kind with the public reports that show it, issues or pull requests on GitHub."""
OWN_TRIALS = {
    "G27": "Choices among measurements that are no numbers",
    "G30": "Compiling that falls back",
    "G31": "Truth values for numbers",
    "G32": "Overlays of the command line",
    "G33": "Settings that fail late",
    "G35": "Accounts that do not add up",
    "G36": "Jobs that are preempted for good",
}
"""Kinds that trials of our own have shown."""
TITLES = {kind: title for kind, (title, _) in REPORTS.items()} | OWN_TRIALS

MODULES = (
    "numbers",
    "lost_work",
    "crashes",
    "input",
    "sources",
    "hostile",
    "network",
    "config_fuzz",
    "environments",
    "settings",
    "queues",
)
ELSEWHERE = [
    ("F01", "a transposed, reversed or strided array loads reshuffled", "any view comes back as it was",
     "tests/data/test_image_files.py::test_any_view_loads_back_equal"),
    ("F01", "some of 60,000 images differ from the archive", "all real images equal the archive's bytes",
     "tests/data/test_cifar.py::test_all_real_images_equal_the_pickles"),
    ("F02", "a flat folder of test images gets one label, or others'", "labels come from the annotations alone",
     "tests/data/test_tinyimagenet.py::test_labels_and_order"),
    ("F02", "one image has no label", "it is named, nothing is written",
     "tests/data/test_tinyimagenet.py::test_the_real_subset_without_one_line"),
    ("F02", "folders whose labels cannot be told", "the layout is refused by name",
     "tests/data/test_folder.py::test_layouts_that_would_give_wrong_labels_are_refused"),
    ("F03", "class numbers follow a list in one place, the alphabet in another", "all go through the sorted names",
     "tests/data/test_cifar.py::test_labels_go_through_the_sorted_names"),
    ("F05", "checkpoints or settings are picked on the test set", "no rule but evaluate and baseline reads it",
     "tests/workflow/test_demo.py::test_only_evaluations_read_the_test_split"),
    ("F06", "averages or optimiser start anew when training goes on", "two slices equal one long run, bit for bit",
     "tests/diffusion/training/test_state.py::test_two_slices_equal_one_long_run"),
    ("F06", "training depends on the rhythm of saving", "it does not, bit for bit",
     "tests/diffusion/training/test_state.py::test_saving_at_another_rhythm_changes_nothing"),
    ("F07", "after a short run the average is mostly the random start", "the decay warms up with the iteration",
     "tests/diffusion/test_ema.py::test_a_short_run_forgets_its_first_weights"),
    ("F08", "an epoch misses or repeats images, or all are alike", "each covers every image once, in its own order",
     "tests/diffusion/training/test_batch.py::test_every_epoch_covers_every_image_once_in_an_order_of_its_own"),
    ("F08", "processes draw the same noise, or depend on their number", "any number takes the same steps",
     "tests/stages/test_train.py::test_any_number_of_processes_takes_the_same_steps"),
    ("F09", "less memory changes the batch and so the result", "batch_size is the whole one; pieces change no step",
     "tests/stages/test_train.py::test_accumulation_changes_no_step"),
    ("F10", "the schedule is stepped once a process, or jumps after a stop", "the rate is a function of the iteration",
     "tests/diffusion/training/test_loop.py::test_the_learning_rate_is_a_function_of_the_iteration"),
    ("F11", "a changed setting reruns too little or too much", "it reruns what follows and nothing before",
     "tests/workflow/test_demo.py::test_a_changed_value_reruns_what_follows_and_nothing_before"),
    ("F11", "saved progress of other settings is taken up", "the slice starts anew, and says why",
     "tests/workflow/test_restart.py::test_progress_of_other_settings_is_not_mixed_in"),
    ("F15", "bytes half a level too dark, or wrapped around", "clamped, then rounded; NaN is refused",
     "tests/data/test_image_files.py::test_floats_become_bytes_by_clamping_then_rounding"),
    ("F16", "the last, smaller batch is dropped or weighs more", "every image counts at any batch size",
     "tests/metrics/test_features.py::test_every_image_counts_at_any_batch_size"),
    ("F16", "another resize rule than the published measure", "features equal pytorch-fid's",
     "tests/metrics/test_features.py::test_inception_is_pytorch_fids"),
    ("F17", "keys of another network or with a prefix are passed over", "taken whole, or refused and nothing taken",
     "tests/diffusion/test_pretrained.py::test_everything_else_is_refused_and_nothing_taken"),
    ("F18", "some step counts or orders go wrong", "all counts and orders call the network exactly so often",
     "tests/diffusion/test_solvers.py::test_exactly_as_many_calls_as_asked"),
    ("F18", "history of the last batch is used in the next", "the solver is a function and remembers nothing",
     "tests/diffusion/test_solvers.py::test_a_solve_remembers_nothing_of_the_one_before"),
    ("F19", "pictures are noise or dull without an error", "a known distribution is reached within one per cent",
     "tests/diffusion/test_solvers.py::test_mean_and_spread_within_one_percent"),
    ("F20", "another batch size gives other pictures", "the noise of an image follows from seed and index",
     "tests/stages/test_sample.py::test_no_image_depends_on_the_batch"),
    ("F21", "network or augmentation are not the published ones", "outputs equal the published implementation's",
     "tests/classify/test_published.py::test_the_convnet"),
    ("F22", "a loss that is not a number is trained on", "it stops before weights or average are touched",
     "tests/diffusion/training/test_loop.py::test_a_loss_that_is_not_finite_stops_before_weights_are_touched"),
    ("F23", "training is killed while it saves", "ten kills change no bit of the result",
     "tests/workflow/test_restart.py::test_ten_kills_change_nothing"),
    ("F30", "results are closed to the other users of a group", "the user's umask decides, for files of tensors too",
     "tests/runtime/test_files.py::test_a_file_of_tensors_is_as_open_as_any_other"),
    ("F24", "a stop signal loses the work since the last save", "it saves and leaves within seconds",
     "tests/workflow/test_restart.py::test_a_stop_signal_saves_and_leaves"),
    ("F27", "fewer devices are granted than configured", "the job stops at once with both numbers",
     "tests/stages/test_train.py::test_fewer_gpus_granted_than_configured"),
    ("F28", "a node among several is lost, and nothing says which", "the log names it, the next attempt goes on",
     "tests/runtime/test_nodes.py::test_each_node_runs_its_processes_and_the_log_names_the_lost_one"),
    ("G36", "a SLURM that preempts by cancelling leaves Snakemake waiting for ever", "such a job is sent again",
     "tests/runtime/test_preemption.py::test_jobs_of_this_workflow_are_sent_again_and_no_others"),
    ("G36", "a job that saves itself within the grace period has failed", "it asks SLURM to send it again",
     "tests/runtime/test_preemption.py::test_a_stage_that_saved_itself_sends_its_preempted_job_again"),
    ("F31", "a web page, half a file, nothing or silence is kept as the archive", "nothing is kept, all is said",
     "tests/data/test_fetching.py::test_a_wrong_answer_leaves_nothing"),
    ("F32", "a mistake shows after hours", "the dry run names key and nearest known one",
     "tests/workflow/test_demo.py::test_mistakes_show_in_the_dry_run"),
    ("F33", "cut or false picture files stop a training late", "all are named at once, before anything is written",
     "tests/data/test_folder.py::test_bad_files_are_named_in_one_error"),
    ("F34", "start weights that run a program", "they are refused, the program does not run",
     "tests/diffusion/test_pretrained.py::test_code_in_the_file_is_not_run"),
    ("F52", "one picture added, removed or replaced, also by an older one: nothing to be done",
     "names, sizes and dates are compared, contents where these differ",
     "tests/workflow/test_sources.py::test_a_changed_picture_is_noticed"),
    ("F52", "splits written among their own pictures: all is made again for ever",
     "such a folder is refused in the dry run",
     "tests/planning/test_sources.py::test_a_source_that_the_workflow_writes_into_is_refused"),
    ("F52", "a picture of a finished set is replaced in its class's folder: nothing to be done",
     "names, sizes and dates below the folder are compared",
     "tests/workflow/test_generators.py::test_a_changed_picture_of_a_finished_set_is_noticed"),
    ("F52", "a module that a user's generator imports is changed: nothing to be done",
     "the contents of what it imports from beside it are compared",
     "tests/planning/test_generators.py::test_modules_that_a_class_imports"),
    ("F52", "a change that keeps size and date is never seen", "contents are compared on request",
     "tests/planning/test_sources.py::test_contents_on_request"),
    ("F52", "the same pictures in another folder, or with a slash behind it, are prepared and trained on again",
     "content identifies a source", "tests/workflow/test_sources.py::test_the_same_content_elsewhere_reruns_nothing"),
    ("F52", "a second mirror, or a path to the archive that was fetched, trains again",
     "the archive's digests identify it", "tests/workflow/test_sources.py::test_mirrors_and_paths_to_one_archive"),
    ("F05", "images of one person are in train and in test", "splits are cut by group, also with published test sets",
     "tests/data/test_groups.py::test_a_group_is_in_one_split"),
    ("F05", "a published test split shares a person with train", "it is refused by name",
     "tests/data/test_groups.py::test_a_group_in_two_published_splits_is_named"),
    ("F32", "on and yes are read as 1 in numbers of a source", "refused by key",
     "tests/config/test_source.py::test_what_is_refused"),
    ("G05", "settings of today's config are shown for results of another", "the page shows what the files carry",
     "tests/report/test_page.py::test_the_page_shows_the_settings_of_the_files_and_where_the_config_differs"),
    ("G07", "a word of the command line turns into a target", "only targets are targets",
     "tests/workflow/test_targets.py::test_words_of_the_command_line_decide_nothing"),
    ("G08", "a repeated key, an octal or a base-60 number is taken without a word", "refused by file and line",
     "tests/config/test_text.py::test_what_is_read_otherwise_is_named"),
    ("G09", "a copied folder keeps the environment of the first", "it gets one of its own",
     "tests/test_make.py::test_a_copied_folder_gets_an_environment_of_its_own"),
    ("G12", "cleaning removes pictures that a user brought", "only what rules made is removed",
     "tests/test_make.py::test_clean_removes_what_rules_made_and_nothing_else"),
    ("G14", "training ends where the file system has no flock", "one warning, and a lock by an exclusive file",
     "tests/runtime/test_resuming.py::test_a_file_system_without_flock_is_warned_about_once"),
    ("G16", "a class with few images ends a comparison of equal size", "all of it are taken, the others share the rest",
     "tests/data/test_selection.py::test_small_classes_give_all_that_they_have_and_the_others_the_rest"),
    ("G17", "a set that lacks classes ends the figures", "it is shown as it is, and the page says how many lack",
     "tests/report/test_mosaics.py::test_a_set_with_fewer_images_than_classes_is_shown_as_it_is"),
    ("G19", "a lock for one system names packages that another does not have", "it is whole for each system",
     "tests/test_envs.py::test_what_is_locked_is_closed_under_its_own_requirements"),
    ("G19", "a try with a wrong interpreter blocks all later ones", "the next one starts afresh",
     "tests/test_make.py::test_a_try_that_failed_does_not_block_the_next"),
    ("G20", "sixty targets: the argument list is too long", "settings go through a file",
     "tests/runtime/test_program.py::test_settings_come_from_a_file_too"),
    ("G21", "an experiment called NA ends the report", "a name is text in every table",
     "tests/report/test_results.py::test_any_name_is_text"),
    ("G22", "a matplotlibrc changes the bytes of figures", "figures are made by settings of our own alone",
     "tests/report/test_style.py::test_a_users_settings_change_no_byte"),
    ("G25", "a dozen jobs share one GPU", "jobs ask for no more GPUs than there are",
     "tests/workflow/test_targets.py::test_local_jobs_ask_for_no_more_gpus_than_there_are"),
    ("G25", "jobs that run at once all compute on the first GPU", "each takes one that no other job has",
     "tests/runtime/test_devices.py::test_each_job_takes_a_gpu_of_its_own"),
    ("G27", "a distance that is not finite is picked, or ends the choice after it was written", "it is skipped by name",
     "tests/stages/test_checkpoint.py::test_a_distance_that_is_not_finite_is_skipped_by_name"),
    ("G27", "no distance is finite", "one line says so, and nothing is written",
     "tests/stages/test_checkpoint.py::test_nothing_is_written_if_no_distance_is_finite"),
    ("G30", "compiling falls back, and the account still says compiled", "the account says what ran",
     "tests/diffusion/test_running.py::test_a_compilation_that_fails_is_not_said_to_have_run"),
    ("G30", "a compile cache that cannot be made ends jobs that compile nothing", "one warning, and another cache",
     "tests/runtime/test_compiling.py::test_a_cache_that_cannot_be_made_is_replaced"),
    ("G31", "on and yes are the number 1", "refused by key",
     "tests/config/test_load.py::test_a_boolean_is_no_number"),
    ("G31", "a large seed given as text loses its last digits", "it keeps them",
     "tests/config/test_load.py::test_a_large_seed_given_as_text_keeps_its_digits"),
    ("G35", "a job that the system held up accounts for more seconds than it used", "its phases add up to them",
     "tests/generators/test_budgeted.py::test_a_job_that_was_suspended_keeps_what_was_in_time"),
    ("F31", "compute nodes have no internet", "every job but the download runs in a machine without any network",
     "tests/workflow/test_demo.py::test_it_ran_without_a_network"),
    ("F35", "planning takes seconds, or needs a GPU's libraries", "the dry run imports no torch",
     "tests/workflow/test_demo.py::test_the_dry_run_imports_no_torch"),
]  # fmt: skip
"""Kind, fault, what happens now, and the test that proves it where it belongs."""

NOT_APPLICABLE: dict[str, str] = {
    "F28": "job accounting is the scheduler's and Snakemake's; what is ours, running out of memory, is tested",
}
"""What of a kind is not ours to prevent, and why."""


@dataclass(frozen=True)
class Row:
    fault: Fault
    test: str


def rows() -> list[Row]:
    """Every proof, by kind; within one, those of this folder last."""
    found = [Row(Fault(kind, what, now), test) for kind, what, now, test in ELSEWHERE]
    for name in MODULES:
        module = importlib.import_module(f"tests.faults.test_{name}")
        for function in vars(module).values():
            for one in getattr(function, "faults", []):
                found.append(Row(one, f"tests/faults/test_{name}.py::{function.__name__}"))
    return sorted(found, key=lambda row: row.fault.kind)


def page() -> str:
    """docs/faults.md."""
    found = rows()
    lines = [
        "# What goes wrong elsewhere, and what happens here",
        "",
        "Kinds of faults that users of image, diffusion and workflow projects have reported, ordered by harm: wrong",
        "numbers without an error first, then lost work, crashes, and usability. The test in a row proves it.",
        "Made by `python -m tests.faults` from the tests themselves.",
    ]
    for kind, title in TITLES.items():
        reports = REPORTS[kind][1] if kind in REPORTS else []
        links = ", ".join(f"[{name}](https://github.com/{name.replace('#', '/issues/')})" for name in reports)
        lines += [
            "",
            f"## {title}",
            "",
            f"Reported in {links}." if links else "Seen in trials of our own.",
            "",
            "| fault | what happens now | test |",
            "|---|---|---|",
        ]
        for row in found:
            if row.fault.kind == kind:
                path, name = row.test.split("::")
                lines.append(f"| {row.fault.what} | {row.fault.now} | [{name}](../{path}) |")
        if kind in NOT_APPLICABLE:
            lines += ["", f"Not ours: {NOT_APPLICABLE[kind]}."]
    return "\n".join(lines) + "\n"
