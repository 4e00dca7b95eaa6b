/** Extensions of the image files that are read, in lower case. */
export const imageExtensions = [".jpg", ".jpeg", ".png", ".webp", ".avif"] as const;

/** Formats of images that are read. */
export type ImageFormat = "JPEG" | "PNG" | "WebP" | "AVIF";

/** The format that a file's first bytes tell; undefined for others, which no decoder is to see. */
export function imageFormat(bytes: Uint8Array): ImageFormat | undefined {
  const text = (start: number, end: number) => String.fromCharCode(...bytes.subarray(start, end));
  if (text(0, 3) === "\xff\xd8\xff") return "JPEG";
  if (text(0, 8) === "\x89PNG\r\n\x1a\n") return "PNG";
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") return "WebP";
  // A file type box, whose brand may also be that of HEIF files in general: the codec is told by the decoder.
  if (text(4, 8) === "ftyp" && ["avif", "avis", "mif1"].includes(text(8, 12))) return "AVIF";
  return undefined;
}
