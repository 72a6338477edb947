// `node --conditions=source --experimental-transform-types --import <this file> x.ts` runs our sources: Node removes the types, this
// leads `./x.js` to `./x.ts`. For tests that need a process of their own without a build.
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    try {
      return next(specifier, context);
    } catch (error) {
      if (!specifier.startsWith('.') || !specifier.endsWith('.js')) throw error;
      return next(specifier.replace(/\.js$/, '.ts'), context);
    }
  },
});
