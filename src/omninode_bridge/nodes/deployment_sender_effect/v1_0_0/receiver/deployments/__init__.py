"""Deployments: what the receiver does with a stored package.

Who calls whom, from the upload on:

- `http/upload.py` asks `duplicates` whether a package is here already (`duplicates` decides what is done with a
  package that arrives twice), has `packages` check a new one, keeps it in `records`, and submits it to `deployer`.
- `deployer` takes each package to its last status. It waits for the engine, has `image_loader` load the image (which
  reads the package through `packages` again), and has `services` start the container.
- `services` runs one container for each image name. `replacement` replaces it by a new one, once `readiness` has found
  the new one ready; `cleanup` completes or undoes a start that was interrupted; `service_records` keeps which
  containers are this receiver's.
- `container_watcher` and `image_watcher` run in the background: they compare the deployments with the status
  `running`, or `loaded`, with the engine.

All of them change the deployments in `records`. `record` is one deployment and its JSON document, `documents` the form
of such documents, `failures` the only place that chooses the public code of an error. `container_messages` has the
texts about containers, `container_names` their names, `locks` the locks by name, and `periodic` the repetition of
background work.
"""
