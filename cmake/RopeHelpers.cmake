# Everything in lib/ is one shared library, so that each TypeID and each dialect
# exists once in a process.

# rope_add_sources(<file>...): adds files of the current folder to libRope.so.
function(rope_add_sources)
  foreach(file IN LISTS ARGN)
    target_sources(Rope PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
  endforeach()
endfunction()

# rope_add_tool(<name> <file>...): a tool that links libRope.so and the shared
# MLIR and LLVM, and nothing else of theirs.
function(rope_add_tool name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE Rope MLIR LLVM)
  set_property(GLOBAL APPEND PROPERTY ROPE_TOOLS ${name})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# rope_install_library(<name>): installs a library and exports it as
# Rope::<name> to projects that find_package(Rope).
function(rope_install_library name)
  set_property(GLOBAL APPEND PROPERTY ROPE_LIBRARIES ${name})
  target_include_directories(${name} INTERFACE $<INSTALL_INTERFACE:include>)
  install(TARGETS ${name} EXPORT RopeTargets LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
endfunction()

# rope_tablegen(<td> <out> <generator args>...): one generated file of the
# current folder, collected in the list rope_generated of the caller.
macro(rope_tablegen td out)
  set(LLVM_TARGET_DEFINITIONS ${td})
  mlir_tablegen(${out} ${ARGN})
endmacro()
