"""A contact sheet: rows of captioned pictures under a title, with lines of figures at the foot."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT, LINE = (250, 250, 248), (32, 33, 36), (110, 112, 118), (214, 214, 210)
MARGIN, GAP, ROW_GAP = 40, 18, 34
TITLE, HEADING, CAPTION, SMALL = 34, 20, 17, 13  # font sizes in pixels
TALLEST = 1.5  # height of a picture in widths of its column, at most


@dataclass(frozen=True)
class Tile:
    caption: str
    image: Image.Image


@dataclass(frozen=True)
class Row:
    """Tiles under a heading, `columns` on a line; a line of many is captioned in smaller letters."""

    heading: str
    tiles: Sequence[Tile]
    columns: int


def compose(title: str, rows: Sequence[Row], footer: Sequence[str], *, width: int = 1620) -> Image.Image:
    """The sheet as an RGB image of this width; its height is what the rows take."""
    heights = [_row_height(row, width) for row in rows]
    foot = len(footer) * round(HEADING * 1.5)
    height = MARGIN + TITLE + GAP + sum(h + ROW_GAP for h in heights) + foot + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    text = shorten(title, TITLE, width - 2 * MARGIN)
    draw.text((MARGIN, MARGIN - 8), text, fill=INK, font=ImageFont.load_default(TITLE))
    y = MARGIN + TITLE + GAP
    for row, row_height in zip(rows, heights, strict=True):
        _draw_row(sheet, draw, row, y)
        y += row_height + ROW_GAP
    draw.line((MARGIN, y - ROW_GAP // 2, width - MARGIN, y - ROW_GAP // 2), fill=LINE)
    for line in footer:
        draw.text((MARGIN, y), shorten(line, HEADING, width - 2 * MARGIN), fill=INK, font=ImageFont.load_default(HEADING))
        y += round(HEADING * 1.5)
    return sheet


def fit(image: Image.Image, width: int) -> Image.Image:
    """Scaled into (width, TALLEST * width): reduced with a good filter, enlarged by whole factors so that pixels stay squares."""
    scale = min(width / image.width, TALLEST * width / image.height)
    if scale >= 1:
        factor = int(scale)
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def shorten(text: str, size: int, width: int) -> str:
    """`text`, with its end replaced by an ellipsis where it would be wider than `width` pixels at this font size."""
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _column_width(row: Row, width: int) -> int:
    return (width - 2 * MARGIN - GAP * (row.columns - 1)) // row.columns


def _lines(row: Row, width: int) -> list[list[tuple[Tile, Image.Image]]]:
    column = _column_width(row, width)
    fitted = [(tile, fit(tile.image, column)) for tile in row.tiles]
    return [fitted[i : i + row.columns] for i in range(0, len(fitted), row.columns)]


def _caption_size(row: Row) -> int:
    return CAPTION if row.columns <= 4 else SMALL


def _row_height(row: Row, width: int) -> int:
    captions = _caption_size(row) + 12
    return _heading_height(row) + sum(max(image.height for _, image in line) + captions for line in _lines(row, width))


def _heading_height(row: Row) -> int:
    return HEADING + 14 if row.heading else 0


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Row, y: int) -> None:
    column, size = _column_width(row, sheet.width), _caption_size(row)
    if row.heading:
        draw.text((MARGIN, y), shorten(row.heading, HEADING, sheet.width - 2 * MARGIN), fill=INK, font=ImageFont.load_default(HEADING))
    y += _heading_height(row)
    for line in _lines(row, sheet.width):
        tallest = max(image.height for _, image in line)
        for i, (tile, image) in enumerate(line):
            x = MARGIN + i * (column + GAP)
            sheet.paste(image, (x, y))
            # The border keeps white pictures apart from the paper.
            draw.rectangle((x - 1, y - 1, x + image.width, y + image.height), outline=LINE)
            caption = shorten(tile.caption, size, column)
            draw.text((x, y + tallest + 5), caption, fill=FAINT, font=ImageFont.load_default(size))
        y += tallest + size + 12
