/**
 * The labels by which a project's containers, networks and volumes are known, as Docker's compose writes them, so that each sees
 * the other's projects. Source: github.com/docker/compose, pkg/api/labels.go.
 */
export const label = {
  project: "com.docker.compose.project",
  service: "com.docker.compose.service",
  number: "com.docker.compose.container-number",
  oneoff: "com.docker.compose.oneoff",
  slug: "com.docker.compose.slug",
  hash: "com.docker.compose.config-hash",
  image: "com.docker.compose.image",
  dependencies: "com.docker.compose.depends_on",
  files: "com.docker.compose.project.config_files",
  directory: "com.docker.compose.project.working_dir",
  environmentFile: "com.docker.compose.project.environment_file",
  version: "com.docker.compose.version",
  network: "com.docker.compose.network",
  volume: "com.docker.compose.volume",
  /** Made to take another's place: that one's name without the project. */
  replace: "com.docker.compose.replace",
  /**
   * The digest of a network's or volume's settings, of the texts in a container. Docker's compose has other digests under its own label,
   * and makes anew what differs.
   */
  settings: "dev.onggi.compose.config-hash",
} as const;

/** The compose whose labels and behaviour these are. */
export const COMPOSE_VERSION = "2.40.3";

/** Filters of lists, for everything of a project. */
export const ofProject = (project: string, ...more: string[]): Record<string, string[]> => ({
  label: [`${label.project}=${project}`, ...more],
});
