export * from "./grad-cam.js";
