/** Does something at once and again each `ms` while the page is seen; the result ends it. */
export function repeat(work: () => Promise<void>, ms: number): () => void {
  void work();
  const timer = setInterval(() => document.visibilityState === 'visible' && void work(), ms);
  return () => clearInterval(timer);
}
