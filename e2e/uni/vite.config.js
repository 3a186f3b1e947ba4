/** How uni-app builds the app. */

import uni from '@dcloudio/vite-plugin-uni';
import { defineConfig } from 'vite';

// A CommonJS package: what it exports lies one step deeper where Node imports it.
export default defineConfig({ plugins: [(uni.default ?? uni)()] });
