/** Does something so many times a second, until it is told another rate. */

export class Stream {
  private timer: ReturnType<typeof setInterval> | undefined;
  private perSecond = 0;
  private paused = false;

  constructor(private readonly act: () => void) {}

  /** How often from now on; 0 is never. */
  setRate(perSecond: number): void {
    this.perSecond = perSecond;
    this.start();
  }

  /** As an app that is frozen in the background. */
  setPaused(paused: boolean): void {
    this.paused = paused;
    this.start();
  }

  private start(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.perSecond > 0 && !this.paused) this.timer = setInterval(this.act, 1000 / this.perSecond);
  }
}
