// Images that go along with a question: drawn anew, smaller, as JPEG. So they fit into a frame, and
// what a camera has noted beside the picture (the place, say) stays here.

export const IMAGES_MAX = 4;
// Vendors scale larger ones down themselves.
const SIDE_PX_MAX = 1_568;
// Of a data URL: four of them and a conversation fit into a frame of a mebibyte.
const CHARACTERS_MAX = 200_000;
const QUALITIES = [0.85, 0.7, 0.55, 0.4];
const SCALES = [1, 0.7, 0.5, 0.35, 0.25];

export class NoImage extends Error {}

/** Returns a data URL. Throws `NoImage` for what the browser cannot read as an image. */
export async function imageOf(file: Blob): Promise<string> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new NoImage();
  }
  try {
    const most = Math.min(1, SIDE_PX_MAX / Math.max(bitmap.width, bitmap.height));
    for (const scale of SCALES) {
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(bitmap.width * most * scale));
      canvas.height = Math.max(1, Math.round(bitmap.height * most * scale));
      const context = canvas.getContext("2d");
      if (context === null) throw new NoImage();
      context.fillStyle = "#fff"; // behind what is transparent
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      for (const quality of QUALITIES) {
        const url = canvas.toDataURL("image/jpeg", quality);
        if (url.length <= CHARACTERS_MAX) return url;
      }
    }
    throw new NoImage();
  } finally {
    bitmap.close();
  }
}
