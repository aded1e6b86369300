// A PNG with the 256 colours that a page needs, in place of 16 million: a third of its size.
//
// Runs in a page: the browser reads the picture and compresses it. Source: PNG, third edition
// (W3C 2025), sections 5 and 11; Heckbert, "Color Image Quantization for Frame Buffer Display"
// (1982), for the median cut. Weakness: what is transparent is not kept.

async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const channel = (colour, index) => (colour >> (8 * index)) & 255;

  /** The colours of the picture in boxes of similar ones, 256 at most. */
  function boxes() {
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    const spread = (box) => {
      const spans = [0, 1, 2].map((index) => {
        const values = box.map(([colour]) => channel(colour, index));
        return Math.max(...values) - Math.min(...values);
      });
      const widest = Math.max(...spans);
      // What is seen more counts more.
      const seen = box.reduce((sum, [, count]) => sum + count, 0);
      return { index: spans.indexOf(widest), weight: widest * Math.log2(1 + seen), widest };
    };
    const all = [[...counts]].map((box) => ({ box, ...spread(box) }));
    while (all.length < 256) {
      all.sort((one, other) => other.weight - one.weight);
      const { box, index, widest } = all[0];
      if (widest === 0) break;
      all.shift();
      box.sort(([one], [other]) => channel(one, index) - channel(other, index));
      const half = box.reduce((sum, [, count]) => sum + count, 0) / 2;
      let at = 0;
      for (let sum = 0; at < box.length - 1 && sum < half; at++) sum += box[at][1];
      at = Math.max(1, at);
      for (const part of [box.slice(0, at), box.slice(at)]) all.push({ box: part, ...spread(part) });
    }
    return all.map(({ box }) => box);
  }

  const places = new Map();
  const palette = new Uint8Array(
    boxes().flatMap((box, place) => {
      for (const [colour] of box) places.set(colour, place);
      // The colour that is seen most: areas keep theirs.
      const [most] = box.reduce((one, other) => (other[1] > one[1] ? other : one));
      return [0, 1, 2].map((index) => channel(most, index));
    }),
  );
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = places.get(pixels[y * width + x]);
  }
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));

  const table = Uint32Array.from({ length: 256 }, (_, number) => {
    for (let bit = 0; bit < 8; bit++) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
    return number;
  });
  const checksum = (data) => {
    let crc = 0xffffffff;
    for (const byte of data) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return ~crc >>> 0;
  };
  const big = (number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255);
  const chunk = (name, data) => {
    const body = [...name].map((letter) => letter.charCodeAt(0)).concat(Array.from(data));
    return [...big(data.length), ...body, ...big(checksum(body))];
  };
  const png = [
    ...[137, 80, 78, 71, 13, 10, 26, 10],
    ...chunk("IHDR", [...big(width), ...big(height), 8, 3, 0, 0, 0]),
    ...chunk("PLTE", palette),
    ...chunk("IDAT", new Uint8Array(await packed.arrayBuffer())),
    ...chunk("IEND", []),
  ];
  let text = "";
  for (const byte of png) text += String.fromCharCode(byte);
  return btoa(text);
}
