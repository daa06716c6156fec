/** The shim as a file that the compiled executable carries: the path by which this program reads it. */
declare module "*/build/onggi-shim" {
  const path: string;
  export default path;
}
