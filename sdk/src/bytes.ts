/** Sizes in UTF-8, without the TextEncoder that mini programs lack. */

/** How many bytes `text` takes in UTF-8. */
export function utf8Length(text: string): number {
  // Three bytes each; then two each, and four for a pair of surrogates.
  return text.replace(/[\u0800-\ud7ff\ue000-\uffff]/g, '...').replace(/[\x80-\uffff]/g, '..').length;
}
