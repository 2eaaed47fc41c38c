// Layout of the tiles: all on the screen at once if their images are large enough that way, else in rows to scroll.

const MIN_IMAGE_PX = 320; // width of an image; on a narrow screen 45 % of its width is required instead
const GOOD_IMAGE_PX = 440; // width of an image that needs no more room
const TILE_CHROME_PX = 142; // height of a tile without its image
const GAP_PX = 12;

/** {columns, imageHeight} for ``count`` images of ``aspect`` (width / height); imageHeight 0 means no limit. */
export function arrangement(count, { width, height }, aspect = 4 / 3) {
  let best = { columns: 1, imageHeight: 0, imageWidth: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const tileHeight = height / Math.ceil(count / columns) - GAP_PX;
    const imageHeight = Math.max(0, tileHeight - TILE_CHROME_PX);
    const imageWidth = Math.min(width / columns - GAP_PX, imageHeight * aspect);
    if (imageWidth > best.imageWidth) best = { columns, imageHeight, imageWidth };
  }
  if (best.imageWidth >= Math.max(MIN_IMAGE_PX, Math.min(0.45 * width, GOOD_IMAGE_PX))) return best;
  return { columns: Math.min(Math.max(1, count), Math.max(1, Math.floor(width / GOOD_IMAGE_PX))), imageHeight: 0 };
}

/** Arrange the grid's children whenever its size or the window's changes. Returns a function that arranges now. */
export function keepArranged(grid) {
  const arrange = () => {
    const available = { width: grid.clientWidth, height: innerHeight - grid.offsetTop };
    const { columns, imageHeight } = arrangement(grid.childElementCount, available);
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--image-height", imageHeight ? `${Math.floor(imageHeight)}px` : "none");
  };
  new ResizeObserver(arrange).observe(grid);
  addEventListener("resize", arrange);
  return arrange;
}
