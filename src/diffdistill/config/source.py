"""Where images come from."""

from typing import Literal, Self

from pydantic import model_validator

from diffdistill.config.fields import Block, Checksum, FilePath, NonNegativeInt, PositiveInt, file_name, short


class Source(Block):
    """Where the images come from, and how validation and test are cut where none are published."""

    kind: Literal["digits", "cifar100", "tinyimagenet", "folder", "idx"]
    path: FilePath | None = None
    """A local archive or folder, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the archive, tried in turn; fetched once, before any other job."""
    checksum: Checksum | None = None
    """Of the archive; needed with urls."""
    size: PositiveInt | None = None
    """Side in pixels that a folder's pictures are cropped and scaled to; null: all must have one size."""
    validation_per_class: PositiveInt
    test_per_class: PositiveInt | None = None
    """Cut from the images where the source publishes no test split."""
    seed: NonNegativeInt = 0

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
        if self.size is not None and self.kind != "folder":
            raise ValueError("size is for a folder's pictures; the other sources have one")
        return self

    def file(self, dataset: str) -> str | None:
        """Where the archive or folder lies once it is there; None for bundled images."""
        if self.path is not None:
            return self.path
        return f"data/raw/{dataset}/{file_name(self.urls[0])}" if self.urls else None
