# One image for every plane; the compose file says which one runs.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci

FROM node:24-bookworm-slim
ENV NODE_ENV=production TOUCHMARK_HOME=/var/lib/touchmark TOUCHMARK_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app/package.json /app/package-lock.json ./
COPY --from=build /app/bin ./bin
COPY --from=build /app/migrations ./migrations
COPY --from=build /app/data ./data
COPY --from=build /app/dist ./dist
COPY --from=build /app/node_modules ./node_modules
RUN install -d -o node -g node -m 0711 /var/lib/touchmark && install -d -o node -g node -m 0700 /secrets /ca-secrets /run/touchmark
USER node
VOLUME /var/lib/touchmark
ENTRYPOINT ["node", "--enable-source-maps", "--min-semi-space-size=16", "--max-semi-space-size=32", "dist/apps/touchmark/src/main.js"]
CMD ["serve"]
