"""What a caller of remove.bg's contract asks for."""

from dataclasses import dataclass, field

from nijika.plugins.removebg.errors import Refused
from nijika.plugins.removebg.options import check_sources, translated


@dataclass(frozen=True)
class Order:
    """The parameters that are not empty, as far as they have come: `texts` by name, and the names of `files`."""

    texts: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    @property
    def is_address(self) -> bool:
        """Whether the picture is to be fetched, and nothing is sent along."""
        return not self.files and "image_url" in self.texts

    @property
    def names_type(self) -> bool:
        """Whether the caller wants to know the type of the foreground."""
        return self.texts.get("type_level") != "none"

    @property
    def background(self) -> str:
        """The parameter that gives a picture as the background, if one does."""
        return "bg_image_file" if "bg_image_file" in self.files else "bg_image_url"

    def options(self) -> dict[str, str]:
        """The worker's options. Raises Refused."""
        return translated(self.texts)

    def check_sources(self) -> None:
        """Refuse unless all has come that makes an order, and no more."""
        check_sources(self.files | self.texts.keys())
        if self.files and "image_url" in self.texts:
            detail = "A background that is a file goes with a picture that is sent, too."
            raise Refused("invalid_bg_image_file", "Invalid bg_image_file parameter given", detail)
