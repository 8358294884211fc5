package lockfile
