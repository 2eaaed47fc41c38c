// How the tiles stand: all on the screen at once if their images can be large enough that way, else in rows to scroll.

const SMALLEST_PX = 320; // of an image's width; where the room itself is narrower, most of the room
const GOOD_PX = 440;
const AROUND_IMAGE_PX = 142; // a tile's height without its image
const GAP_PX = 12;

/** For ``count`` images of width / height ``aspect`` in a room: {columns, imageHeight}, 0 where nothing limits it. */
export function arrangement(count, { width, height }, aspect = 4 / 3) {
  let best = { columns: 1, imageHeight: 0, imageWidth: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const tileHeight = height / Math.ceil(count / columns) - GAP_PX;
    const imageHeight = Math.max(0, tileHeight - AROUND_IMAGE_PX);
    const imageWidth = Math.min(width / columns - GAP_PX, imageHeight * aspect);
    if (imageWidth > best.imageWidth) best = { columns, imageHeight, imageWidth };
  }
  if (best.imageWidth >= Math.max(SMALLEST_PX, Math.min(0.45 * width, GOOD_PX))) return best;
  return { columns: Math.min(Math.max(1, count), Math.max(1, Math.floor(width / GOOD_PX))), imageHeight: 0 };
}

/** Keep the grid's children arranged while it, the window or their number changes; returns "arrange now". */
export function keepArranged(grid) {
  const arrange = () => {
    const room = { width: grid.clientWidth, height: innerHeight - grid.offsetTop };
    const { columns, imageHeight } = arrangement(grid.childElementCount, room);
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--image-height", imageHeight ? `${Math.floor(imageHeight)}px` : "none");
  };
  new ResizeObserver(arrange).observe(grid);
  addEventListener("resize", arrange);
  return arrange;
}
