// The build bundles styles that a file imports.
declare module "*.css";
