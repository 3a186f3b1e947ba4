// The login: nothing is asked of WeChat before the person has tapped.

/** @returns {import('../../types').CardsApp} */
const app = () => getApp();

Page({
  data: {
    /** @type {{ [word: string]: string }} */
    words: {},
    isBusy: false,
  },
  onLoad() {
    const { say } = app();
    this.setData({ words: { tagline: say('tagline'), login: say('login') } });
  },
  onLogin() {
    this.setData({ isBusy: true });
    app()
      .logIn()
      .then(() => wx.reLaunch({ url: '/pages/cards/cards' }));
  },
});
