// The build of the app.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // `@roomcast/client` is a link to its sources here, which have a React of their own for their tests.
  resolve: { dedupe: ["react", "react-dom"] },
  server: { host: "127.0.0.1" },
  preview: { host: "127.0.0.1" },
});
