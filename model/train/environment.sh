# Without these, half of the time goes to giving pages back and getting them again, and to threads that wait by spinning.
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0
