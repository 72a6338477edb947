#!/usr/bin/env node
// The built application lies in dist/ of the checkout; `npm ci` builds it.
import '../../dist/apps/touchmark/src/main.js';
