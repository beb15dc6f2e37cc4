"""What every layer uses: errors, files, progress, the native library."""
