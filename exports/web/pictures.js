// Pictures: a file decoded, copies of it, the square around a face, and boxes drawn over it.

// Upright, no colours converted. Multiplied by alpha: shrinking would mix in what transparent pixels hold.
export async function decode(blob) {
  try {
    return await createImageBitmap(blob, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "premultiply",
    });
  } catch {
    if (!blob.size) throw new Error("empty file");
    await blob.slice(0, 1).arrayBuffer().catch(() => {
      throw new Error("can't read the file");
    });
    throw new Error("damaged or no picture that this browser can decode");
  }
}

// What is transparent is shown on white, as classify does.
export function drawOnWhite(context, picture, width, height) {
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0, width, height);
}

// A copy of at most so many pixels.
export function copyOf(picture, pixels, options) {
  const scale = Math.min(1, Math.sqrt(pixels / (picture.width * picture.height)));
  const side = (length) => Math.max(1, Math.round(length * scale));
  const canvas = new OffscreenCanvas(side(picture.width), side(picture.height));
  const context = canvas.getContext("2d", options);
  drawOnWhite(context, picture, canvas.width, canvas.height);
  return { canvas, context };
}

// The square around the box's centre; beyond the edge of the photo its edge pixels go on.
export function cutAround(photo, box, margin) {
  const side = Math.round(Math.max(box.width, box.height) * (1 + 2 * margin));
  const left = Math.round(box.x + box.width / 2 - side / 2);
  const top = Math.round(box.y + box.height / 2 - side / 2);
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, side, side);
  context.drawImage(photo, -left, -top);
  // Where the photo lies in the square, and its outermost columns, then rows, stretched over what is beyond.
  context.imageSmoothingEnabled = false;
  const [x0, y0] = [Math.max(0, -left), Math.max(0, -top)];
  const [x1, y1] = [Math.min(side, photo.width - left), Math.min(side, photo.height - top)];
  if (x0 > 0) context.drawImage(canvas, x0, y0, 1, y1 - y0, 0, y0, x0, y1 - y0);
  if (x1 < side) context.drawImage(canvas, x1 - 1, y0, 1, y1 - y0, x1, y0, side - x1, y1 - y0);
  if (y0 > 0) context.drawImage(canvas, 0, y0, side, 1, 0, 0, side, y0);
  if (y1 < side) context.drawImage(canvas, 0, y1 - 1, side, 1, 0, y1, side, side - y1);
  return canvas;
}

// A copy of the photo with its boxes, numbered from 1.
export function withBoxes(photo, boxes, pixels) {
  const { canvas, context } = copyOf(photo, pixels);
  const scale = canvas.width / photo.width;
  context.font = "bold 15px sans-serif";
  for (const [index, box] of boxes.entries()) {
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((length) => length * scale);
    // Seen on what is bright and on what is dark.
    for (const [color, line] of [["white", 4], ["#0b57a4", 2]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.strokeRect(x, y, width, height);
    }
    const number = String(index + 1);
    // Above the box, where the face is not, as far as the photo goes.
    const [left, bottom] = [Math.max(0, x - 1), Math.max(17, y)];
    context.fillStyle = "#0b57a4";
    context.fillRect(left, bottom - 17, context.measureText(number).width + 6, 17);
    context.fillStyle = "white";
    context.fillText(number, left + 3, bottom - 3);
  }
  return canvas;
}
