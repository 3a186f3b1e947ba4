// A web page of the shop. It covers the page that it was opened from, which goes on hearing.

const { HELP } = require('../../config');

Page({
  data: { url: HELP },
  onError() {
    wx.navigateBack();
  },
});
