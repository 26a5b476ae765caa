/* Another libcurl for the specs: preloaded into a process, it makes libcurl
** tell of itself what the environment says: CURL_NUMBER (its version, in
** hexadecimal), CURL_TLS, CURL_CAPATH, CURL_CAINFO. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const char *told(const char *name, const char *usual) {
  const char *value = getenv(name);
  return value ? value : usual;
}

__attribute__((visibility("default"))) curl_version_info_data *
curl_version_info(CURLversion age) {
  static curl_version_info_data info;
  curl_version_info_data *(*real)(CURLversion);
  void *libcurl = dlopen("libcurl.so.4", RTLD_LAZY); /* loaded by a module */
  void *found = dlsym(libcurl, "curl_version_info");
  memcpy(&real, &found, sizeof real); /* ISO C has no cast for it */
  memcpy(&info, real(age), sizeof info);
  const char *number = getenv("CURL_NUMBER");
  if (number)
    info.version_num = (unsigned)strtoul(number, NULL, 16);
  info.ssl_version = told("CURL_TLS", info.ssl_version);
  info.capath = told("CURL_CAPATH", info.capath);
  info.cainfo = told("CURL_CAINFO", info.cainfo);
  return &info;
}
