"""Where images come from."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import Block, Checksum, FilePath, NonNegativeInt, PositiveInt, file_name, short

Pattern = Annotated[str, Field(min_length=1)]
"""Such as *.txt; without '/' it fits any part of a path."""
CIFAR100 = "md5:eb9058c3a382ffc7106e4002c42a8d85"
"""Of CIFAR-100's archive as published."""


class Splits(Block):
    """Which folder is which split; all null: the folders at the top are classes, whatever they are called."""

    train: FilePath | None = None
    """The folder of train images, relative to the source."""
    validation: FilePath | None = None
    """The folder of validation images; null: they are cut from train."""
    test: FilePath | None = None
    """The folder of test images; null: they are cut from train."""

    @property
    def named(self) -> dict[str, str]:
        """Folder by split."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: folder for split, folder in found.items() if folder is not None}

    @model_validator(mode="after")
    def _train_too(self) -> Self:
        if self.named and self.train is None:
            raise ValueError("train is missing; name its folder too")
        if len({folder.strip("/") for folder in self.named.values()}) < len(self.named):
            raise ValueError(f"one folder is named twice: {', '.join(self.named.values())}")
        return self


class Groups(Block):
    """Which images belong together, such as those of one person; they stay in one split."""

    table: FilePath | None = None
    """A csv of image path (relative to the source) and group."""
    pattern: str | None = None
    """A regular expression with one capture group, searched in the image's path."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, values: Any) -> Any:
        if isinstance(values, str):
            return {"table": values} if values.lower().endswith(".csv") else {"pattern": values}
        return values

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.table is None) == (self.pattern is None):
            raise ValueError("give either table or pattern")
        if self.pattern is not None:
            try:
                captured = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"{short(self.pattern)} is no regular expression ({error})") from None
            if captured != 1:
                raise ValueError(f"{short(self.pattern)} has {captured} capture groups, exactly one is needed")
        return self


class Source(Block):
    """Where the images come from, and how validation and test are cut where none are published."""

    kind: Literal["digits", "cifar100", "tinyimagenet", "folder", "idx"]
    """digits come with scikit-learn; folder: a folder of pictures per class, or an archive of it; idx: MNIST's pairs of
    files."""
    path: FilePath | None = None
    """A local archive or folder, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the archive, tried in turn; fetched once, before any other job."""
    checksum: Checksum | None = None
    """Of the archive, md5:… or sha256:…; needed with urls."""
    verify: Literal["dates", "contents"] = "dates"
    """What shows that the source has changed: names, sizes and dates of its files, or names and contents."""
    size: PositiveInt | None = None
    """Side in pixels that a folder's pictures are cropped and scaled to; null: all must have one size."""
    bits: Annotated[PositiveInt, Field(le=16)] | None = None
    """Significant bits of a folder's 16-bit pictures, such as 12; null: found over the whole set."""
    skip: tuple[Pattern, ...] = ()
    """Files and folders to leave out of a folder, such as "*.txt"."""
    splits: Splits | None = None
    """Which folders are splits; null: by their usual names (train, val, test and the like)."""
    groups: Groups | None = None
    """Which images belong together; null: each stands alone."""
    empty_classes: Literal["refuse", "drop"] = "refuse"
    """What to do about a class without train images."""
    validation_per_class: PositiveInt | None = None
    """Cut from the train images; null only if a folder has a validation split of its own."""
    test_per_class: PositiveInt | None = None
    """Cut from the train images if the source has no test split."""
    seed: NonNegativeInt = 0
    """Of the images that are cut for validation and test."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("path", "urls") if getattr(self, name)]
        if self.kind == "digits":
            if given:
                raise ValueError(f"digits are bundled and take no {given[0]}")
        elif len(given) != 1:
            raise ValueError(f"'{self.kind}' needs either path or urls")
        if self.urls and self.checksum is None:
            raise ValueError("urls need a checksum, such as md5:0123…")
        for url in self.urls:
            name = file_name(url)
            if "://" not in url or name in ("", ".", "..") or set(name) & set("{}\\") or not name.isprintable():
                raise ValueError(
                    f"{short(url)} is no address that ends in a file's name, such as https://host/name.zip"
                )
        return self

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind != "folder":
            for key in ("size", "bits", "skip", "splits", "groups"):
                if getattr(self, key):
                    raise ValueError(f"{key} is for a folder of pictures, not for '{self.kind}'")
            if self.validation_per_class is None:
                raise ValueError(f"validation_per_class is missing; '{self.kind}' has no validation split")
        if self.kind == "digits" and self.test_per_class is None:
            raise ValueError("test_per_class is missing; 'digits' has no test split")
        return self

    @property
    def how_cut(self) -> dict[str, Any]:
        """What decides the splits of a given content; where the content lies does not."""
        where = {"path": True, "urls": True, "checksum": True, "verify": True, "groups": {"table"}}
        return self.model_dump(mode="json", exclude=where)  # type: ignore[arg-type]

    @property
    def known_set(self) -> str | None:
        """The public set that this is, by its kind; None for a user's own, and where it may as well be CIFAR-10.

        CIFAR-10 is read as `cifar100` too: only the checksum or the name of the file tells them apart beforehand.
        """
        if self.kind in ("digits", "tinyimagenet"):
            return self.kind
        name = Path(self.file("") or "").name.lower()
        named = (self.checksum or "").lower() == CIFAR100 or re.search("cifar-?100", name)
        return self.kind if self.kind == "cifar100" and named else None

    def file(self, dataset: str) -> str | None:
        """Where the archive or folder lies once it is there; None for bundled images."""
        if self.path is not None:
            return self.path
        return f"data/raw/{dataset}/{file_name(self.urls[0])}" if self.urls else None
